use super::*;
use crate::guests::{Guest, component};
use crate::{TICK, TickingEngine};
use wasmtime::{Instance, Module, Trap};

#[test]
fn a_loop_is_interrupted_by_the_ticker() {
    let ticking = TickingEngine::new().unwrap();
    let module = Module::new(ticking.engine(), "(module (func (export \"f\") (loop (br 0))))").unwrap();
    let mut store = Store::new(ticking.engine(), ());
    store.set_epoch_deadline(2);
    store.epoch_deadline_trap();
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let spin = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
    assert_eq!(spin.call(&mut store, ()).unwrap_err().downcast::<Trap>().unwrap(), Trap::Interrupt);
}

/// On one thread, which a guest that does not yield would keep for ever.
#[tokio::test]
async fn a_guest_that_loops_lets_others_run_and_can_be_ended() {
    let loops = component(
        &["count"],
        "(func (export \"count\") (param i32) (result i32)
           (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
           (i32.const 7))",
    );
    let mut guest = Guest::new(&loops, 0).await.ok().unwrap();
    assert_eq!(guest.call("count", (1_000_u32,)).await, Ok(7_u32));

    let endless = loops.replace("(i32.const 1)", "(i32.const 0)");
    let mut guest = Guest::new(&endless, 0).await.ok().unwrap();
    let other = tokio::spawn(async {
        for _turn in 0..3 {
            tokio::task::yield_now().await;
        }
    });
    let ended = tokio::time::timeout(TICK * 20, guest.call::<_, u32>("count", (1_u32,))).await;
    assert!(ended.is_err(), "{ended:?}");
    assert!(other.is_finished());
}

#[tokio::test]
async fn a_store_is_within_the_limits_of_its_data() {
    let engine = TickingEngine::new().unwrap();
    let mut store = store(engine.engine(), Limits::new(1 << 16));
    assert_eq!(store.hostcall_fuel(), 8 << 20);
    let module = |pages: u32| Module::new(engine.engine(), format!("(module (memory {pages}))")).unwrap();
    Instance::new_async(&mut store, &module(1), &[]).await.unwrap();
    Instance::new_async(&mut store, &module(1), &[]).await.unwrap_err();
    assert!(store.data().refused().is_some());
}

#[test]
fn the_table_of_resources_is_bounded() {
    let mut table = resources();
    for _resource in 0..4_096 {
        table.push(()).unwrap();
    }
    assert!(table.push(()).is_err());
}
