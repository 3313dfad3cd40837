//! The `foreshore` program: arguments, output, exit codes.
