# Scores of actions times the score of the person's box, as VideoMAE tests.
_base_ = '../ava_b16.py'

model = dict(roi_head=dict(person_score=True))
