from monitor.rules import KILL_FACTOR, Rule, built_in_rules, memory_ceiling, merged


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


def test_the_memory_ceiling_is_the_lowest_limit_that_ends_a_streamer() -> None:
    rules = built_in_rules("run")
    assert memory_ceiling(rules, 1) == 450 << 20
    lower = Rule(name="memory ceiling", metric="rss_bytes", limit=60.0, action="restart")
    assert memory_ceiling(merged(rules, [lower]), 1) == 60
    below = Rule(name="low", metric="rss_bytes", limit=5.0, direction="below", action="restart")
    assert memory_ceiling([below], 7) == 7
