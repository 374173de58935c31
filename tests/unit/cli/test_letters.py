from headrace.cli.letters import nothing_like
from headrace.cli.settings import load_pipeline


def test_nothing_found_says_what_was_asked_for_and_where_to_look(pipeline):
    topology = load_pipeline(str(pipeline)).topology

    assert nothing_like(topology, None, None) == "no open dead letter"
    assert nothing_like(topology, "nix", None) == (
        "no open dead letter of step 'nix'; the pipeline's steps are translate"
    )
    assert nothing_like(topology, "translate", "attempts > 1", "t-0-1") == (
        "no open dead letter of record 't-0-1' of step 'translate' for which that holds; "
        "`headrace dlq ls` lists all"
    )
