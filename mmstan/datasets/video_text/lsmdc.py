"""LSMDC."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from mmstan.datasets.annotation_files import check_id, open_annotations
from mmstan.datasets.video_text.base import VideoTextDataset
from mmstan.registry import DATASETS
from mmstan.wording import show

_COLUMNS = 6  # clip id, start and end as aligned, start and end as extracted, sentence


@DATASETS.register_module()
class LSMDC(VideoTextDataset):
    """LSMDC; ``ann_file`` is a split, and there is no ``video_list``.

    ===== ========================================= ========
    split ``ann_file``                              captions
    ===== ========================================= ========
    train LSMDC16_annos_training.csv                 101,079
    val   LSMDC16_annos_val.csv                        7,408
    test  LSMDC16_challenge_1000_publictect.csv        1,000
    ===== ========================================= ========

    The file is tab separated without a header, and quotes in it are part of the sentences. A clip
    with several sentences is one video with several captions. Clips are ``<id>.<any>`` anywhere
    below the folder. Arguments as in :class:`VideoTextDataset`.

    Example::

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
        """Read lines of six columns; a tab after the fifth belongs to the sentence."""
        file = open_annotations('ann_file', self.ann_file)
        captions = defaultdict(list)
        for line, text in file.read_lines():
            columns = text.split('\t', _COLUMNS - 1)
            if len(columns) < _COLUMNS:
                raise file.error(
                    f'it must have {_COLUMNS} columns with tabs between them, the last the '
                    f'sentence, not {show(text)}: give it as it is distributed',
                    line=line,
                )
            captions[check_id(file, columns[0], line)].append(columns[-1])
        return captions
