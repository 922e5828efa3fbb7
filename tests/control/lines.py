#!/usr/bin/env python3
"""lines.py VUB: what lines are answered, to the letter."""

import json

from rig import LIMIT, Client, Vub, disk, run

MAX = 1 << 20  # bytes of a line


def error(code, message, at=None, number="null"):
    data = f',"data":{{"at":"{at}"}}' if at is not None else ""
    return (f'{{"jsonrpc":"2.0","id":{number},"error":{{"code":{code},'
            f'"message":{json.dumps(message, ensure_ascii=False)}{data}}}}}')


def request(method='"help"', rest="", number="1"):
    return f'{{"jsonrpc":"2.0","id":{number},"method":{method}{rest}}}'


MALFORMED = {
    "": error(-32700, "the line is empty"),
    " \t": error(-32700, "the line is empty"),
    "{": error(-32700, "the text ends where a key in double quotes is wanted",
               "line 1, column 2"),
    "nonsense": error(
        -32700, "the words of JSON are true, false and null; others are "
                "strings, in double quotes", "line 1, column 1"),
    '{"jsonrpc":"2.0"} {}': error(
        -32700, "something follows the end of the document",
        "line 1, column 19"),
    "[" * 100: error(-32700, "objects and lists are nested too deep",
                     "line 1, column 33"),
    b'{"id":"\xff"}': error(-32700, "the text is not valid UTF-8",
                            "line 1, column 8"),
    b'{"id":"a\0b"}': error(
        -32700, "a control character in a string is written as an escape",
        "line 1, column 9"),
    "5": error(-32600, "a request is an object, not 5"),
    '"status"': error(-32600, 'a request is an object, not "status"'),
    "null": error(-32600, "a request is an object, not null"),
    "[]": error(-32600, "a request is an object, not a list: there are no "
                        "batches, each request has a line"),
    '{"jsonrpc":"2.0","id":1}': error(-32600, "is missing", "/method", 1),
    '{"id":1,"method":"help"}': error(-32600, "is missing", "/jsonrpc", 1),
    '{"jsonrpc":"1.0","id":1,"method":"help"}':
        error(-32600, 'must be "2.0", not "1.0"', "/jsonrpc", 1),
    request("5"): error(-32600, "must be a string, not 5", "/method", 1),
    request(number="true"): error(
        -32600, "must be a whole number, null, or a string of at most 128 "
                "bytes", "/id"),
    request(number="1.5"): error(
        -32600, "must be a whole number, null, or a string of at most 128 "
                "bytes", "/id"),
    request(number="9007199254740992"): error(
        -32600, "must be a whole number, null, or a string of at most 128 "
                "bytes", "/id"),
    request(number='"' + "x" * 129 + '"'): error(
        -32600, "must be a whole number, null, or a string of at most 128 "
                "bytes", "/id"),
    request(rest=',"id":1'): error(
        -32600, "the key is given more than once", "/id", 1),
    request(rest=',"parms":{}'): error(
        -32600, 'there is no such key; did you mean "params"?', "/parms", 1),
    request('""'): error(
        -32601, 'there is no such command; "help" tells all', "/method", 1),
    request('"stauts"'): error(
        -32601, 'there is no such command; did you mean "status"?',
        "/method", 1),
    request(rest=',"params":[]'): error(
        -32602, "must be an object, not a list", "/params", 1),
    request(rest=',"params":null'): error(
        -32602, "must be an object, not null", "/params", 1),
    request(rest=',"params":{"a":1}'): error(
        -32602, "there is no such key; there are none here", "/params/a", 1),
    request('"status"', ',"params":{"device":5}'): error(
        -32602, "must be a string of at least 1 byte, not 5",
        "/params/device", 1),
    request('"status"', ',"params":{"device":"x"}'): error(
        -32602, 'there is no device "x"', "/params/device", 1),
    request('"block.resize"'): error(-32602, "is missing", "/params/device",
                                     1),
    request('"block.resize"', ',"params":{"device":"d","size":1}'): error(
        -32602, 'must be a size from 512 to 4194304T: bytes, or a string '
                'like "64M", not 1', "/params/size", 1),
    request('"block.resize"', ',"params":{"device":"d","size":"1K",'
                              '"size":"2K"}'): error(
        -32600, "the key is given more than once", "/params/size", 1),
}


def malformed_lines_have_their_answers():
    vub = Vub()
    client = Client()
    for line, answer in MALFORMED.items():
        client.send(line)
        got = client.line()
        assert got == answer, f"{line}\nexpected {answer}\ngot      {got}"
    client.do("help")  # and the connection goes on
    vub.end()


def ids_come_back_as_they_were():
    vub = Vub()
    client = Client()
    for number in ("0", "-1", "9007199254740991", "null", '""', '"ab"',
                   '"' + "x" * 128 + '"', '"\u00e4\u20ac\U0001f600"'):
        client.send(request('"log.level"', ',"params":{"level":"info"}',
                            number))
        got = client.line()
        assert got == (f'{{"jsonrpc":"2.0","id":{number},"result":'
                       '{"level":"info","was":"info"}}'), got
    client.send(request('"quit"', number='"a\\u0041\\n\\"\\\\"'))
    assert client.take()["id"] == 'aA\n"\\'
    vub.end(None)


def notifications_are_done_and_not_answered():
    vub = Vub()
    client = Client()
    for params in ({"level": "debug"}, {"level": "nonsense"}, {}):
        client.send(json.dumps({"jsonrpc": "2.0", "method": "log.level",
                                "params": params}))
    client.send('{"jsonrpc":"2.0","method":"no.such"}')
    client.send('{"jsonrpc":"2.0","method":"block.resize",'
                '"params":{"device":"d","size":"2M"}}')
    assert client.do("log.level", level="info")["was"] == "debug"
    device, = client.do("status")["devices"]
    assert device["block"]["size"] == 2 << 20
    vub.end()


def half_lines_wait_for_the_rest():
    vub = Vub()
    client = Client()
    line = request() + "\r\n"
    other = Client()
    for at in range(len(line)):
        client.socket.sendall(line[at:at + 1].encode())
        other.do("log.level", level="info")  # it turns meanwhile
    assert client.take()["id"] == 1
    # Many in one piece, the last in two.
    client.socket.sendall(("\n".join(
        request(number=str(i)) for i in range(20)))[:-5].encode())
    for i in range(19):
        assert client.take()["id"] == i
    client.socket.sendall(b'elp"}')
    client.send("")
    assert client.take()["id"] == 19
    vub.end()


def the_last_line_needs_no_end():
    vub = Vub()
    client = Client()
    client.socket.sendall(request().encode())
    client.socket.shutdown(1)
    assert client.take()["id"] == 1
    assert client.line() is None
    vub.end()


def long_lines_are_told_and_left():
    vub = Vub()
    client = Client()
    told = error(-32700, f"a line has at most {MAX} bytes")
    fits = request(rest=',"params":{}').encode()
    client.send(fits + b" " * (MAX - len(fits)))
    assert client.take()["id"] == 1
    for length in (MAX + 1, MAX + 70000, 5 * MAX):
        client.send(fits + b" " * (length - len(fits)))
        got = client.line()
        assert got == told, (length, got)
    client.do("help")
    assert vub.process.poll() is None
    vub.end()


def all_errors_are_told():
    vub = Vub()
    client = Client()
    got = client.ask("block.resize", size=1, sise=2)
    assert got["error"]["code"] == -32602
    told = [e["at"] for e in got["error"]["data"]["errors"]]
    assert told == ["/params/size", "/params/sise", "/params/device"], told
    got = client.ask("help", **{f"k{i}": i for i in range(150)})
    assert len(got["error"]["data"]["errors"]) == 100
    assert got["error"]["data"]["more"] == 50
    vub.end()


def help_tells_all_commands():
    vub = Vub()
    commands = {c["name"]: c for c in Client().do("help")["commands"]}
    assert {"help", "status", "events", "log.level", "quit",
            "block.resize"} <= set(commands)
    assert [p["name"] for p in commands["block.resize"]["params"]] == \
        ["device", "size"]
    assert commands["block.resize"]["params"][0]["required"] is True
    assert all(c["help"].endswith(".") for c in commands.values())
    vub.end()


run([malformed_lines_have_their_answers, ids_come_back_as_they_were,
     notifications_are_done_and_not_answered, half_lines_wait_for_the_rest,
     the_last_line_needs_no_end, long_lines_are_told_and_left,
     all_errors_are_told, help_tells_all_commands])
