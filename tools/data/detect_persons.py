"""Find the persons of videos: ``python tools/data/detect_persons.py VIDEOS WEIGHTS OUT.csv``.

Action detection needs their boxes. torchvision's Faster R-CNN finds them at the key frames of a
data set (``--annotations``), or at each second of every video in the folder VIDEOS. Writes
``video,timestamp,x1,y1,x2,y2,score`` a line, the ``proposal_file`` of ``mmstan.AVADataset``, which
``tools/detect.py --boxes`` reads, too. WEIGHTS is a file,
https://download.pytorch.org/models/fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth; nothing is
downloaded.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmstan.apis.person_detector import PersonDetector
from mmstan.apis.person_proposals import write_proposals
from mmstan.cli import one_line_errors


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('videos', help='folder of the videos')
    parser.add_argument('weights', help="file of the detector's weights, or its name in torch.hub")
    parser.add_argument('out', type=Path, help='csv to write')
    parser.add_argument('--annotations', help='csv of the actions, whose key frames are taken')
    parser.add_argument(
        '--every', type=float, help='without it: seconds between key frames; default: 1'
    )
    parser.add_argument(
        '--timestamp-start',
        type=float,
        default=0,
        help="second of the movie at which the files begin: 900 for AVA's; default: 0",
    )
    parser.add_argument('--device', default='auto', help='cpu, cuda, ...; default: the fastest')
    args = parser.parse_args()
    if args.annotations and args.every is not None:
        parser.error('--every is not for --annotations, which name the key frames; remove one')
    return args


def main() -> None:
    """Find the persons and write the file."""
    args = parse_args()
    with one_line_errors():
        detector = PersonDetector(args.weights, device=args.device)
        print(
            write_proposals(
                detector,
                args.videos,
                args.out,
                annotations=args.annotations,
                every=1.0 if args.every is None else args.every,
                timestamp_start=args.timestamp_start,
            )
        )


if __name__ == '__main__':
    main()
