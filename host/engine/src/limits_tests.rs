use super::*;
use crate::guests::{GIVES_BYTES, Guest, KEEPS, asks_for_random, component, grows, instances};
use crate::{STACK_BYTES_MAX, Stop};

/// More memory than any guest here has.
const PLENTY: u64 = 64 << 20;

fn limit(text: &str) -> Stop {
    Stop::Limit(text.to_owned())
}

#[test]
fn memory_is_counted_over_all_memories() {
    let mut limits = Limits::new(3 << 20);
    assert!(limits.memory_growing(0, 1 << 20, None).unwrap());
    assert!(limits.memory_growing(0, 2 << 20, None).unwrap(), "a second memory");
    assert_eq!(limits.refused(), None);
    assert!(!limits.memory_growing(1 << 20, 2 << 20, None).unwrap());
    assert_eq!(limits.memory_bytes(), 3 << 20);
    assert_eq!(limits.refused(), Some(&Refused::Own("3 MiB of memory".into())));
}

#[test]
fn stores_share_a_budget_and_give_back_what_they_took() {
    let budget = Budget::new(3 << 20);
    let mut one = Limits::new(2 << 20).out_of(Arc::clone(&budget));
    let mut other = Limits::new(2 << 20).out_of(Arc::clone(&budget));
    assert!(one.memory_growing(0, 2 << 20, None).unwrap());
    assert!(!other.memory_growing(0, 2 << 20, None).unwrap());
    assert_eq!(other.refused(), Some(&Refused::Budget));
    drop(one);
    assert!(other.memory_growing(0, 2 << 20, None).unwrap());
    drop(other);
    assert_eq!(budget.bytes.load(Ordering::Relaxed), 0);
}

#[test]
fn tables_are_counted_together() {
    let mut limits = Limits::new(0);
    assert!(limits.table_growing(0, 6_000, None).unwrap());
    assert!(!limits.table_growing(0, 6_000, None).unwrap());
    assert_eq!(limits.refused(), Some(&Refused::Own("10000 table elements".into())));
}

#[tokio::test]
async fn memory_up_to_the_limit_is_given_and_no_more() {
    let mut guest = Guest::new(&grows(15), 1 << 20).await.ok().unwrap();
    assert_eq!(guest.call("grow", (1_u32,)).await, Ok(15_u32));
    assert_eq!(guest.store.data().limits.memory_bytes(), 1 << 20);
    assert_eq!(guest.call::<_, u32>("grow", (1_u32,)).await, Err(limit("1 MiB of memory")));

    assert!(Guest::new(&grows(16), 1 << 20).await.is_ok(), "from the beginning");
    assert_eq!(Guest::new(&grows(17), 1 << 20).await.err(), Some(limit("1 MiB of memory")));
}

#[tokio::test]
async fn a_guest_without_room_in_the_budget_is_told_apart() {
    let budget = Budget::new(1 << 20);
    let limits = || Limits::new(PLENTY).out_of(Arc::clone(&budget));
    let one = Guest::within(&grows(16), limits()).await.ok().unwrap();
    assert_eq!(Guest::within(&grows(1), limits()).await.err(), Some(Stop::Crowded));
    drop(one);
    assert!(Guest::within(&grows(1), limits()).await.is_ok(), "what was taken is given back");
}

#[tokio::test]
async fn table_elements_up_to_the_limit_are_given_and_no_more() {
    let table = |elements: usize| {
        component(
            &["grow"],
            &format!(
                "(table {elements} funcref)
                 (func (export \"grow\") (param i32) (result i32)
                   (if (i32.eq (table.grow (ref.null func) (local.get 0)) (i32.const -1)) (then (unreachable)))
                   (table.size))"
            ),
        )
    };
    let mut guest = Guest::new(&table(TABLE_ELEMENTS_MAX - 1), PLENTY).await.ok().unwrap();
    assert_eq!(guest.call("grow", (1_u32,)).await, Ok(10_000_u32));
    assert_eq!(guest.call::<_, u32>("grow", (1_u32,)).await, Err(limit("10000 table elements")));

    assert!(Guest::new(&table(TABLE_ELEMENTS_MAX), PLENTY).await.is_ok(), "from the beginning");
    assert_eq!(Guest::new(&table(TABLE_ELEMENTS_MAX + 1), PLENTY).await.err(), Some(limit("10000 table elements")));
}

#[tokio::test]
async fn a_component_has_so_many_instances_memories_and_tables() {
    for (most, module, told) in [
        (INSTANCES_MAX, "", "64 instances"),
        (MEMORIES_MAX, "(memory 0)", "8 memories"),
        (TABLES_MAX, "(table 0 funcref)", "8 tables"),
    ] {
        assert!(Guest::new(&instances(most, module), PLENTY).await.is_ok(), "{told}");
        assert_eq!(Guest::new(&instances(most + 1, module), PLENTY).await.err(), Some(limit(told)));
    }
}

#[tokio::test]
async fn one_host_call_copies_so_many_bytes() {
    let mut guest = Guest::new(GIVES_BYTES, PLENTY).await.ok().unwrap();
    for _again in 0..2 {
        assert_eq!(guest.call("give", (8_u32 << 20,)).await, Ok(8_u32 << 20), "each call has its own");
    }
    assert_eq!(guest.call::<_, u32>("give", ((8_u32 << 20) + 1,)).await, Err(limit("8 MiB copied in one call")));
}

#[tokio::test]
async fn a_guest_holds_so_many_resources() {
    let mut guest = Guest::new(KEEPS, PLENTY).await.ok().unwrap();
    assert_eq!(guest.call("keep", (4_096_u32,)).await, Ok(4_096_u32));
    assert_eq!(guest.call::<_, u32>("keep", (1_u32,)).await, Err(limit("4096 resources at once")));
}

#[tokio::test]
async fn random_bytes_come_in_bounded_pieces() {
    for (interface, function) in [("random", "get-random-bytes"), ("insecure", "get-insecure-random-bytes")] {
        let text = asks_for_random(interface, function);
        let mut guest = Guest::new(&text, PLENTY).await.ok().unwrap();
        guest.call::<_, u32>("ask", (65_536_u32,)).await.unwrap();
        assert_eq!(guest.call::<_, u32>("ask", (65_537_u32,)).await, Err(limit("64 KiB of random bytes in one call")));
    }
}

#[tokio::test]
async fn recursion_ends_at_the_stack_s_limit() {
    let recurses = component(
        &["recurse"],
        "(func $f (export \"recurse\") (param i32) (result i32)
           (if (result i32) (local.get 0)
             (then (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1)))))
             (else (i32.const 0))))",
    );
    let mut guest = Guest::new(&recurses, PLENTY).await.ok().unwrap();
    assert_eq!(guest.call("recurse", (1_000_u32,)).await, Ok(1_000_u32));
    let told = format!("{} KiB of stack", STACK_BYTES_MAX >> 10);
    assert_eq!(guest.call::<_, u32>("recurse", (u32::MAX,)).await, Err(limit(&told)));
}
