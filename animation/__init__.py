"""How a head moves: speech, emotion and idle life, as poses over time. No devices, threads or windows."""
