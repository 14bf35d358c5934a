"""``python -m mmstan`` is the command ``mmstan``."""

from mmstan.commands import main

if __name__ == '__main__':
    main()
