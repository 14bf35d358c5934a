# Mug-STAN, Table VIII, "Video-Token" in our reading: the mean frame chooses the tokens, too
# (msrvtt_b32_video_token_paper.py: in the paper's words).
_base_ = '../msrvtt_b32.py'

model = dict(head=dict(interaction=dict(video='mean')))
