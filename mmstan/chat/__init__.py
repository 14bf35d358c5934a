"""Ask a video: STAN's branch inside a LLaVA (Mug-STAN, Section IV-F).

Nothing else of mmstan imports this package. It needs ``pip install "mmstan[chat]"``.
"""

from mmstan.chat.conversation import Conversation
from mmstan.chat.video_chat import VideoChat

__all__ = ['Conversation', 'VideoChat']
