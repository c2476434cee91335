#!/usr/bin/env escript
%% reference.escript write|read DIR: the part of basho/bitcask in the demo.
%%
%% `write` makes the directory; its clock is pinned, so that the bytes are the
%% same every time.  `read` prints every key and value.
-mode(compile).

main(["write", Dir]) ->
  session(Dir, 1000000001, [
    {put, "apple", "green"},
    {put, "banana", "yellow"},
    {put, "cherry", "black"},
    {put, "apple", "red"},
    {put, "damson", "blue"}
  ]),
  session(Dir, 1000000002, [
    {put, "cherry", "dark red"},
    {delete, "banana"},
    {put, "elderberry", "black"}
  ]);
main(["read", Dir]) ->
  Bitcask = bitcask:open(Dir),
  Rows = bitcask:fold(Bitcask, fun(Key, Value, Rows) -> [{Key, Value} | Rows] end, []),
  bitcask:close(Bitcask),
  [io:format("  ~s = ~s~n", [Key, Value]) || {Key, Value} <- lists:sort(Rows)].

%% One writer's session: open, write, close.  Each makes a data file.
session(Dir, Clock, Steps) ->
  bitcask_time:test__set_fudge(Clock),
  Bitcask = bitcask:open(Dir, [read_write]),
  [step(Bitcask, Step) || Step <- Steps],
  bitcask:close(Bitcask).

step(Bitcask, {put, Key, Value}) ->
  io:format("  put ~s = ~s~n", [Key, Value]),
  ok = bitcask:put(Bitcask, list_to_binary(Key), list_to_binary(Value));
step(Bitcask, {delete, Key}) ->
  io:format("  delete ~s~n", [Key]),
  ok = bitcask:delete(Bitcask, list_to_binary(Key)).
