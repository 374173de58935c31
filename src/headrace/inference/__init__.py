"""Clients of model servers, and the tensors that go over the wire."""
