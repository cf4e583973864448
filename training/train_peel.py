"""Trains a peel from a folder of pictures and captions; see `banana_training/peel.py`."""

from banana_training.peel import main

if __name__ == "__main__":
    main()
