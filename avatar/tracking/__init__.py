"""Pictures of a face -> landmarks -> the pose and shape of any head in FLAME's layout.

Used live (a webcam drives the avatar) and by capture (a photo becomes one). Its networks are MediaPipe's, run by
LiteRT; both come with the extra `capture` and are needed only when a picture is looked at.
"""
