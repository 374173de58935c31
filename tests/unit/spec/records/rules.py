"""What a code may be found on."""


def drop_impossible(document):
    """Drop the codes of a page that came before codes were in use."""
    if document["page"]["date"] < "1994":
        document["codes"] = []
    return document
