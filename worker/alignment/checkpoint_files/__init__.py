"""Where the files of a checkpoint lie: a folder, S3, a model hub."""

from worker.alignment.checkpoint_files.base import CheckpointFiles
from worker.alignment.checkpoint_files.folder import FolderFiles
from worker.alignment.checkpoint_files.opening import open_files

__all__ = ["CheckpointFiles", "FolderFiles", "open_files"]
