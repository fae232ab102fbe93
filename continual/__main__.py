"""`python -m continual`, for launchers that start modules: `torchrun -m continual run ...`."""

from continual.cli import main

if __name__ == "__main__":
    main()
