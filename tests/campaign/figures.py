"""What a campaign counts."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Figures:
    """Outcomes of one kind of trial.

    Attributes:
        kind: What was tried.
        tried: Trials.
        right: Read as what they are.
        refused: Refused in one line that names the file and the reason.
        unclear: Refused by an error that does not name the file, or by a traceback.
        wrong: Read as something else without a word.
        crashed: Processes that died, hung or took more memory than they may.
        problems: A line for each trial that is unclear, wrong or crashed.
    """

    kind: str
    tried: int = 0
    right: int = 0
    refused: int = 0
    unclear: int = 0
    wrong: int = 0
    crashed: int = 0
    problems: list[str] = field(default_factory=list)

    def count(self, outcome: str, what: str = '') -> None:
        """Add one trial, ``outcome`` being the name of one of the counts; ``what`` describes it."""
        self.tried += 1
        setattr(self, outcome, getattr(self, outcome) + 1)
        if outcome not in ('right', 'refused'):
            self.problems.append(f'{self.kind}, {outcome}: {what}')

    @property
    def holds(self) -> bool:
        """Whether nothing is unclear, wrong or crashed."""
        return not (self.unclear or self.wrong or self.crashed)

    def __str__(self) -> str:
        """One line."""
        names = ('tried', 'right', 'refused', 'unclear', 'wrong', 'crashed')
        return f'{self.kind:24}' + '  '.join(f'{name} {getattr(self, name):5}' for name in names)
