"""``python -m contrib.bench``: the comparison table."""

from contrib.bench.run import main

raise SystemExit(main())
