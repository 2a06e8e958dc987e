"""Speech data: phonemes, articulation targets, synthetic and recorded speech, forced alignment."""
