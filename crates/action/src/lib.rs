//! Runs actions: arguments, environment, output, exit code.
