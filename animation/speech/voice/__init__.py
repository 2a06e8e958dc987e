"""Text to speech with Kokoro-82M, a small neural voice, and the times of its phonemes. Needs the extra `voice`."""
