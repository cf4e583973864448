"""Its folder is where the tests import `banana_training` from, wherever pytest is started."""
