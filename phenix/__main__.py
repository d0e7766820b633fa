"""``python -m phenix``: the same as the ``phenix`` command."""

import sys

from phenix.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
