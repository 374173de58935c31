"""Serves a scikit-learn model, and trains it first where its file is missing."""

import asyncio

import train
from mlserver_sklearn import SKLearnModel


class TrainedModel(SKLearnModel):
    """The model in `train.FILE`, which `parameters.uri` of model-settings.json names, too."""

    async def load(self) -> bool:
        """Load the model; `train.py` writes it where it is missing."""
        if not train.FILE.exists():
            await asyncio.to_thread(train.main)
        return await super().load()
