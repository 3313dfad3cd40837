//! What the program does, told from outside: the story on both grounds, and what bad input meets.

mod bad_input;
mod stage;
mod story;
