"""Clients of model servers, and the tensors that go over the wire.

`oip_pb2` is generated; `oip.proto` says how.
"""
