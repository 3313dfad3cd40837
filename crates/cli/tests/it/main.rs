//! What the program does, told from outside: the story on both grounds, what bad input meets, and what a kill changes: nothing.

mod bad_input;
mod builds;
mod changes;
mod check_load;
mod clock_steps;
mod demo;
mod flows;
mod gates;
mod kills;
mod packaged;
mod pages;
mod pinned;
mod plans;
mod rebuild;
mod served;
mod shipped;
mod sites;
mod stage;
mod starts;
mod story;
mod users;
mod waits;
