//! The `metaphased` binary: everything is in the library.

fn main() -> metaphased::cli::Exit {
    metaphased::cli::main()
}
