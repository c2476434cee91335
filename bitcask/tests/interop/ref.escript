#!/usr/bin/env escript
%%! -noinput
%% The reference implementation behind a line protocol: one command a line on
%% standard input, one answer line on standard output.  The bitcask application
%% runs unchanged; its log goes to standard error.  Keys and values travel as
%% hex, "-" is the empty one.
%%
%%     open DIR ro|rw [option=value ...]       ok
%%     put KEY VALUE | delete KEY | sync       ok
%%     get KEY                                 value VALUE | notfound
%%     fold                                    entries KEY:VALUE ...
%%     list_keys                               keys KEY ...
%%     merge DIR [ID ...] [option=value ...]   ok
%%     needs_merge                             false | true IDS EXPIRED_IDS
%%     status                                  status KEYS ID:FRAGMENTED:DEAD:TOTAL ...
%%     clock SECS | pid | close | quit
%%
%% Everything may also answer "error TEXT".

%% Not interpreted: values of a megabyte pass through here.
-mode(compile).

main(_) ->
    ok = logger:remove_handler(default),
    ok = logger:add_handler(stderr, logger_std_h, #{config => #{type => standard_error}}),
    {ok, _} = application:ensure_all_started(bitcask),
    %% A port, because the io module takes minutes over a line of a megabyte.
    loop(open_port({fd, 0, 1}, [binary, eof, {line, 65536}]), none).

loop(Port, Ref) ->
    case read_line(Port, []) of
        eof ->
            halt(0);
        Line ->
            Split = binary:split(iolist_to_binary(Line), <<" ">>, [global, trim_all]),
            Words = [binary_to_list(W) || W <- Split],
            {Answer, Ref2} = try do(Words, Ref)
                             catch Class:Reason -> {error_line({Class, Reason}), Ref}
                             end,
            true = port_command(Port, [Answer, $\n]),
            loop(Port, Ref2)
    end.

read_line(Port, Acc) ->
    receive
        {Port, {data, {eol, Part}}} -> lists:reverse(Acc, [Part]);
        {Port, {data, {noeol, Part}}} -> read_line(Port, [Part | Acc]);
        {Port, eof} -> eof
    end.

do(["open", Dir, Mode | Opts], none) ->
    Writer = case Mode of "rw" -> [read_write]; "ro" -> [] end,
    case bitcask:open(Dir, Writer ++ [option(O) || O <- Opts]) of
        {error, _} = E -> {error_line(E), none};
        Ref -> {"ok", Ref}
    end;
do(["close"], Ref) ->
    {result(bitcask:close(Ref)), none};
do(["pid"], Ref) ->
    {["pid ", os:getpid()], Ref};
do(["clock", Secs], Ref) ->
    bitcask_time:test__set_fudge(list_to_integer(Secs)),
    {"ok", Ref};
do(["quit"], _) ->
    halt(0);
do(Words, Ref) ->
    {read_or_write(Words, Ref), Ref}.

read_or_write(["put", K, V], Ref) ->
    result(bitcask:put(Ref, from_hex(K), from_hex(V)));
read_or_write(["delete", K], Ref) ->
    result(bitcask:delete(Ref, from_hex(K)));
read_or_write(["get", K], Ref) ->
    case bitcask:get(Ref, from_hex(K)) of
        {ok, V} -> ["value ", to_hex(V)];
        not_found -> "notfound";
        {error, _} = E -> error_line(E)
    end;
read_or_write(["fold"], Ref) ->
    case bitcask:fold(Ref, fun(K, V, Acc) -> [{K, V} | Acc] end, []) of
        {error, _} = E -> error_line(E);
        L -> ["entries", [[" ", to_hex(K), $:, to_hex(V)] || {K, V} <- lists:sort(L)]]
    end;
read_or_write(["list_keys"], Ref) ->
    case bitcask:list_keys(Ref) of
        {error, _} = E -> error_line(E);
        L -> ["keys", [[" ", to_hex(K)] || K <- lists:sort(L)]]
    end;
read_or_write(["sync"], Ref) ->
    result(bitcask:sync(Ref));
read_or_write(["merge", Dir | Words], _Ref) ->
    {Ids, Opts} = lists:splitwith(fun(W) -> not lists:member($=, W) end, Words),
    Options = [option(O) || O <- Opts],
    case Ids of
        [] -> result(bitcask:merge(Dir, Options));
        _ -> result(bitcask:merge(Dir, Options,
                                  [filename:join(Dir, Id ++ ".bitcask.data") || Id <- Ids]))
    end;
read_or_write(["needs_merge"], Ref) ->
    case bitcask:needs_merge(Ref) of
        false -> "false";
        {true, {Files, Expired}} ->
            ["true ", id_list(Files), " ", id_list(Expired)]
    end;
read_or_write(["status"], Ref) ->
    {Keys, Files} = bitcask:status(Ref),
    Sorted = lists:sort([{file_id(F), Frag, Dead, Total} || {F, Frag, Dead, Total} <- Files]),
    ["status ", integer_to_list(Keys),
     [io_lib:format(" ~b:~b:~b:~b", tuple_to_list(T)) || T <- Sorted]].

id_list([]) -> "-";
id_list(Files) ->
    lists:join(",", [integer_to_list(I) || I <- lists:sort([file_id(F) || F <- Files])]).

file_id(File) ->
    [Id | _] = string:lexemes(filename:basename(File), "."),
    list_to_integer(Id).

option(Word) ->
    [Name, Value] = string:lexemes(Word, "="),
    case string:to_integer(Value) of
        {I, []} -> {list_to_atom(Name), I};
        _ -> {list_to_atom(Name), list_to_atom(Value)}
    end.

result(ok) -> "ok";
result(E) -> error_line(E).

error_line(E) ->
    ["error ", string:replace(io_lib:format("~0p", [E]), "\n", " ", all)].

from_hex("-") -> <<>>;
from_hex(Hex) -> binary:decode_hex(list_to_binary(Hex)).

to_hex(<<>>) -> "-";
to_hex(B) -> << <<(element(X + 1, {$0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $a, $b, $c, $d, $e, $f}))>>
                || <<X:4>> <= B >>.
