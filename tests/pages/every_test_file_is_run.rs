//! A file of tests that no program declares would never run, and nobody would notice.

use std::fs;
use std::path::Path;

#[test]
fn every_file_of_a_theme_is_declared_in_its_program() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let (mut themes, mut absent) = (0, Vec::new());
    for theme in fs::read_dir(&tests).expect("it is readable") {
        let theme = theme.expect("it is readable").path();
        let Ok(program) = fs::read_to_string(theme.join("main.rs")) else { continue };
        themes += 1;
        for file in fs::read_dir(&theme).expect("it is readable") {
            let file = file.expect("it is readable").path();
            let name = file.file_stem().and_then(|name| name.to_str()).expect("names are UTF-8");
            if name != "main" && !program.lines().any(|line| line == format!("mod {name};")) {
                absent.push(file.display().to_string());
            }
        }
    }
    assert!(themes > 1, "{}", tests.display());
    assert!(absent.is_empty(), "not declared in the main.rs beside it:\n{}", absent.join("\n"));
}
