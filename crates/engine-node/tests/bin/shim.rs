//! The pod shim alone, as `foreshore pod-shim` has it.

fn main() {
    let arguments: Vec<_> = std::env::args_os().skip(2).collect();
    foreshore_engine_node::pod_shim_main(&arguments);
}
