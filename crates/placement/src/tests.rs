//! Scenarios, and the property that nothing is ever overcommitted.

use proptest::prelude::*;

use super::*;

fn capacity(cpu: u32, memory: u64) -> Capacity {
    Capacity { cpu: CpuMillis(cpu), memory: Bytes(memory), sandboxes: vec!["wasm"] }
}

fn shape(cpu: u32, memory: u64) -> Shape {
    Shape { cpu: CpuMillis(cpu), memory: Bytes(memory), sandbox: "wasm" }
}

fn cluster(nodes: &[(u32, u64)]) -> Cluster {
    let mut cluster = Cluster::new();
    for (index, (cpu, memory)) in nodes.iter().enumerate() {
        cluster.add_node(NodeId::new(&format!("n{index}")), capacity(*cpu, *memory));
    }
    cluster
}

fn placed(cluster: &mut Cluster, shape: Shape) -> String {
    match cluster.place(shape) {
        Placement::Placed(node) => node.to_string(),
        Placement::Unplaced(shortage) => shortage.to_string(),
    }
}

#[test]
fn the_emptiest_node_is_chosen_and_equals_take_turns() {
    let mut cluster = cluster(&[(1000, 100), (1000, 100), (1000, 1000)]);
    let order: Vec<String> = (0..12).map(|_| placed(&mut cluster, shape(10, 100))).collect();
    assert_eq!(order[..3], ["n0", "n1", "n2"]);
    assert!(order[3..].iter().all(|node| node == "n2" || node.starts_with("of 3")), "{order:?}");
}

#[test]
fn what_is_lacking_is_said() {
    let mut cluster = cluster(&[(100, 1000), (1000, 10), (1000, 1000)]);
    cluster.set_ready(&NodeId::new("n2"), false);
    let said = placed(&mut cluster, shape(500, 50));
    assert_eq!(
        said,
        "of 3 nodes: 1 not ready, 1 without enough free memory, 1 without enough free processor share"
    );
    let other = Shape { sandbox: "linux", ..shape(1, 1) };
    assert!(placed(&mut cluster, other).contains("2 without this kind of sandbox"));
}

#[test]
fn released_room_is_used_again() {
    let mut cluster = cluster(&[(100, 100)]);
    assert_eq!(placed(&mut cluster, shape(100, 100)), "n0");
    assert!(placed(&mut cluster, shape(100, 100)).starts_with("of 1"));
    cluster.release(&NodeId::new("n0"), shape(100, 100));
    assert_eq!(placed(&mut cluster, shape(100, 100)), "n0");
}

proptest! {
    #[test]
    fn no_node_is_ever_overcommitted_and_room_is_never_missed(
        nodes in prop::collection::vec((1u32..500, 1u64..500), 1..6),
        asks in prop::collection::vec((1u32..200, 1u64..200, any::<bool>()), 1..100),
    ) {
        let mut cluster = cluster(&nodes);
        let mut held: Vec<(NodeId, Shape)> = Vec::new();
        for (cpu, memory, release) in asks {
            if release && let Some((node, shape)) = held.pop() {
                cluster.release(&node, shape);
            }
            let shape = shape(cpu, memory);
            let fits = cluster.nodes().iter().any(|node| {
                node.cpu_reserved + u64::from(cpu) <= u64::from(node.capacity.cpu.0)
                    && node.memory_reserved + memory <= node.capacity.memory.0
            });
            match cluster.place(shape) {
                Placement::Placed(node) => held.push((node, shape)),
                Placement::Unplaced(_) => prop_assert!(!fits),
            }
            for node in cluster.nodes() {
                prop_assert!(node.cpu_reserved <= u64::from(node.capacity.cpu.0));
                prop_assert!(node.memory_reserved <= node.capacity.memory.0);
                let here = held.iter().filter(|(id, _)| *id == node.id).count();
                prop_assert_eq!(node.instances as usize, here);
            }
        }
    }
}
