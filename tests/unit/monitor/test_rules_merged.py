from monitor.rules import KILL_FACTOR, Rule, built_in_rules, merged


def by_name(rules):
    return {rule.name: rule for rule in rules}


def test_another_ceiling_kills_in_the_manner_of_the_built_in_one():
    lower = Rule(name="memory ceiling", metric="rss_bytes", limit=100.0, action="restart")
    rule = by_name(merged(built_in_rules("run"), [lower]))["memory ceiling"]
    assert (rule.limit, rule.skip_drain) == (100.0, True)
    assert rule.kill_above == KILL_FACTOR * 100.0


def test_a_rule_that_ends_nothing_keeps_nothing_of_it():
    tame = Rule(name="memory ceiling", metric="rss_bytes", limit=100.0, action="warn")
    assert by_name(merged(built_in_rules("run"), [tame]))["memory ceiling"] == tame


def test_a_new_name_is_added():
    extra = Rule(name="many threads", metric="threads", limit=50.0)
    assert by_name(merged(built_in_rules("run"), [extra]))["many threads"] == extra
    assert len(merged(built_in_rules("run"), [extra])) == len(built_in_rules("run")) + 1
