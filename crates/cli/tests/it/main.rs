//! What the program does, told from outside: the story on both grounds, what bad input meets, and what a kill changes: nothing.

mod bad_input;
mod builds;
mod changes;
mod check_load;
mod clock_steps;
mod flows;
mod gates;
mod kills;
mod pinned;
mod plans;
mod served;
mod shipped;
mod stage;
mod story;
mod waits;
