"""LSMDC."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from mmstan.datasets.annotation_files import read_lines
from mmstan.datasets.video_text.base import VideoTextDataset
from mmstan.registry import DATASETS

_COLUMNS = 6  # clip id, start and end as aligned, start and end as extracted, sentence


@DATASETS.register_module()
class LSMDC(VideoTextDataset):
    """LSMDC, whose ``ann_file`` is a split; no ``video_list``.

    ===== ========================================= ========
    split ``ann_file``                              captions
    ===== ========================================= ========
    train LSMDC16_annos_training.csv                 101,079
    val   LSMDC16_annos_val.csv                        7,408
    test  LSMDC16_challenge_1000_publictect.csv        1,000
    ===== ========================================= ========

    The file is tab separated without a header, and quotes in it are part of the sentences. A clip
    with several sentences is one video with several captions. Clips are ``<id>.<any>`` anywhere
    below the folder. Arguments are those of :class:`VideoTextDataset`.

    Example:
        LSMDC(
            'LSMDC16_challenge_1000_publictect.csv',
            data_root='data/lsmdc',
            data_prefix=dict(video='videos'),
            test_mode=True,
            pipeline=test_pipeline,
        )
    """

    recursive = True
    size_unit = 'captions'
    known_sizes = {
        'LSMDC16_annos_training.csv': 101079,
        'LSMDC16_annos_val.csv': 7408,
        'LSMDC16_challenge_1000_publictect.csv': 1000,
    }

    def read_captions(self) -> Mapping[str, Sequence[str]]:
        """Lines of six columns; a tab after the fifth belongs to the sentence."""
        captions = defaultdict(list)
        for line in read_lines('ann_file', self.ann_file):
            columns = line.split('\t', _COLUMNS - 1)
            if len(columns) < _COLUMNS:
                raise ValueError(
                    f'ann_file={self.ann_file!r} must have {_COLUMNS} columns with tabs between '
                    f'them, the last the sentence, not {line[:100]!r}: give it as it is distributed'
                )
            captions[columns[0].strip()].append(columns[-1])
        return captions
