"""Rounds over candidates and the pauses between them; no socket, time is an argument."""

import socket

from ostler.observe.resolve import Answer, Endpoint
from ostler.observe.route import Candidate, Destination, Route
from tests.unit.observe.remotes import ToldResolver

A, B = Endpoint(socket.AF_INET, ("192.0.2.1", 514)), Endpoint(socket.AF_INET, ("192.0.2.2", 514))


def addresses(route: Route, now: float) -> list[str]:
    """Of the candidates that may be tried now."""
    found = []
    while candidate := route.next(now):
        found.append(candidate.address if isinstance(candidate.address, str) else candidate.address[0])
    return found


def test_localhost_is_ipv4_then_ipv6_and_asks_nobody() -> None:
    resolver = ToldResolver()
    route = Route(Destination("udp", "localhost", 8125), resolver)
    assert addresses(route, 0.0) == ["127.0.0.1", "::1"]
    assert resolver.asked == []
    assert route.fresh_until == float("inf")


def test_a_unix_path_is_a_datagram_socket_then_a_stream_unless_the_first_is_demanded() -> None:
    datagram = Candidate(socket.AF_UNIX, socket.SOCK_DGRAM, "/dev/log")
    route = Route(Destination("unix", path="/dev/log"), ToldResolver())
    assert [route.next(0.0), route.next(0.0)] == [datagram, Candidate(socket.AF_UNIX, socket.SOCK_STREAM, "/dev/log")]
    route = Route(Destination("unix-dgram", path="/dev/log"), ToldResolver())
    assert [route.next(0.0), route.next(0.0)] == [datagram, None]


def test_rounds_that_fail_are_further_and_further_apart_up_to_a_minute() -> None:
    route = Route(Destination("tcp", "192.0.2.1", 514), ToldResolver())
    tried = [now for now in range(300) if addresses(route, float(now))]
    assert tried == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
    route.established()
    assert addresses(route, 303.0) == ["192.0.2.1"]
    assert addresses(route, 304.0) == ["192.0.2.1"]


def test_what_costs_nothing_is_tried_once_a_second() -> None:
    for destination in (Destination("udp", "192.0.2.1", 514), Destination("unix-dgram", path="/dev/log")):
        route = Route(destination, ToldResolver())
        assert [now for now in range(5) if addresses(route, float(now))] == [0, 1, 2, 3, 4]


def test_a_name_is_looked_up_again_for_each_round_with_pauses() -> None:
    resolver = ToldResolver()
    route = Route(Destination("udp", "loghost", 514), resolver)
    assert addresses(route, 0.0) == []
    assert addresses(route, 0.5) == []
    assert resolver.asked == [("loghost", 514)]
    resolver.answer = Answer((), "name or service not known")
    assert addresses(route, 1.0) == []
    assert route.error == "cannot look up loghost: name or service not known"
    assert addresses(route, 1.9) == []
    assert len(resolver.asked) == 1
    resolver.answer = Answer((A, B))
    assert addresses(route, 2.0) == ["192.0.2.1", "192.0.2.2"]
    assert route.fresh_until == 302.0
    assert len(resolver.asked) == 2


def test_a_name_server_that_is_down_costs_no_known_address() -> None:
    resolver = ToldResolver()
    resolver.answer = Answer((A,))
    route = Route(Destination("tcp", "loghost", 514), resolver)
    assert addresses(route, 0.0) == ["192.0.2.1"]
    resolver.answer = Answer((), "temporary failure in name resolution")
    assert addresses(route, 10.0) == ["192.0.2.1"]


def test_a_refresh_does_not_wait_for_the_pause_nor_try_what_is_left() -> None:
    resolver = ToldResolver()
    resolver.answer = Answer((A, B))
    route = Route(Destination("udp", "loghost", 514), resolver)
    assert route.next(0.0) is not None
    resolver.answer = Answer((B,))
    route.refresh()
    assert addresses(route, 0.0) == ["192.0.2.2"]


def test_destinations_read_as_addresses() -> None:
    assert str(Destination("tcp", "::1", 514)) == "tcp://[::1]:514"
    assert str(Destination("udp", "loghost", 514)) == "udp://loghost:514"
    assert str(Destination("unix", path="/dev/log")) == "unix:/dev/log"
