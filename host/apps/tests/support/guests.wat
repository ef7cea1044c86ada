;; The frame of every guest of the tests. A guest adds one function:
;;   (func $handle (param $request i32) (param $out i32) …)
(module
  (import "wasi:http/types@0.2.0" "[constructor]fields" (func $fields (result i32)))
  (import "wasi:http/types@0.2.0" "[method]incoming-request.consume" (func $consume (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]incoming-body.stream" (func $incoming-stream (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[constructor]outgoing-request" (func $outgoing-request (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-authority"
    (func $set-authority (param i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-path-with-query"
    (func $set-path (param i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]future-incoming-response.subscribe"
    (func $subscribe (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]future-incoming-response.get" (func $get (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[static]response-outparam.set"
    (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.0" "[constructor]outgoing-response" (func $response (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-response.set-status-code"
    (func $set-status (param i32 i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-response.body" (func $body (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-body.write" (func $body-write (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[static]outgoing-body.finish" (func $finish (param i32 i32 i32 i32)))
  (import "wasi:http/outgoing-handler@0.2.0" "handle" (func $send (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.0" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
    (func $write (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.0" "[resource-drop]output-stream" (func $drop-output (param i32)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:io/poll@0.2.0" "[resource-drop]pollable" (func $drop-pollable (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $after (param i64) (result i32)))
  (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
  (import "wasi:cli/exit@0.2.0" "exit" (func $exit (param i32)))

  (memory (export "memory") 16)
  ;; 0: where results are returned; 1024: texts; 65536 and up: what the host allocates.
  (data (i32.const 1024) "ok")
  (data (i32.const 1040) "127.0.0.1/")
  (data (i32.const 1056) "one\n\1b[2Jtwo")
  (global $free (mut i32) (i32.const 65536))
  (global $outgoing (mut i32) (i32.const 0))

  ;; Never gives anything back, and begins again where it would not fit.
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.set $free (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (if (i32.gt_u (i32.add (global.get $free) (local.get 3)) (i32.const 1048576))
      (then (global.set $free (i32.const 65536))))
    (global.get $free)
    (global.set $free (i32.add (global.get $free) (local.get 3))))

  ;; Begins an answer, and returns the stream of its body.
  (func $open (param $out i32) (param $status i32) (result i32)
    (local $answer i32)
    (local.set $answer (call $response (call $fields)))
    (drop (call $set-status (local.get $answer) (local.get $status)))
    (call $body (local.get $answer) (i32.const 0))
    (global.set $outgoing (i32.load (i32.const 4)))
    (call $set (local.get $out) (i32.const 0) (local.get $answer)
      (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
    (call $body-write (global.get $outgoing) (i32.const 0))
    (i32.load (i32.const 4)))
  ;; Writes two bytes, and returns whether that failed.
  (func $put (param $stream i32) (result i32)
    (call $write (local.get $stream) (i32.const 1024) (i32.const 2) (i32.const 0))
    (i32.load8_u (i32.const 0)))
  (func $close (param $stream i32)
    (call $drop-output (local.get $stream))
    (call $finish (global.get $outgoing) (i32.const 0) (i32.const 0) (i32.const 0)))
  ;; Answers with a status and `ok`.
  (func $answer (param $out i32) (param $status i32)
    (local $stream i32)
    (local.set $stream (call $open (local.get $out) (local.get $status)))
    (drop (call $put (local.get $stream)))
    (call $close (local.get $stream)))
  (func $sleep (param $ns i64)
    (local $pollable i32)
    (local.set $pollable (call $after (local.get $ns)))
    (call $block (local.get $pollable))
    (call $drop-pollable (local.get $pollable)))

  HANDLE
  (export "wasi:http/incoming-handler@0.2.0#handle" (func $handle))
)
