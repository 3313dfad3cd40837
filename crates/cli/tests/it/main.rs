//! What the program does, told from outside: the story on both grounds, what bad input meets, and what a kill changes: nothing.

mod bad_input;
mod changes;
mod check_load;
mod kills;
mod plans;
mod stage;
mod story;
