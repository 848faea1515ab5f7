"""`python -m models.lecture OUT`; see `models.lecture.replay`."""

import sys

from models.lecture.replay import main

sys.exit(main())
