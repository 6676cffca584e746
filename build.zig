//! build.zig: run it as `./zigw build`, which brings Zig and the library sources first. `./zigw build --help` lists the steps.
const std = @import("std");

const version = "0.1.0";

/// A library that the repository does not hold: where it comes from (read by vendor/bring.py) and how it is built.
const Library = struct {
    name: []const u8,
    version: []const u8,
    package: []const u8, // Debian's source package and revision
    suite: []const u8,
    tarball: []const u8,
    sha256: []const u8,
    files: []const []const u8, // what is compiled, and nothing else
    flags: []const []const u8 = &.{},
    include: []const u8, // its public headers
    private: ?[]const u8 = null, // the folder of headers that only its own files include
    generated: ?[]const u8 = null, // headers that its own `configure` would make, here made by us
};

const libraries = [_]Library{
    @import("vendor/liburing/library.zon"),
    @import("vendor/bearssl/library.zon"),
    @import("vendor/libsodium/library.zon"),
    @import("vendor/yyjson/library.zon"),
    @import("vendor/zlib/library.zon"),
};

const warnings = [_][]const u8{
    "-Wall", "-Wextra", "-Wshadow",            "-Wconversion",         "-Wno-sign-conversion",
    "-Wvla", "-Werror", "-Wstrict-prototypes", "-Wmissing-prototypes",
};

/// How a program is compiled; everything that goes into one program shares it.
const Mode = struct {
    target: std.Build.ResolvedTarget,
    optimize: std.builtin.OptimizeMode,
    strip: bool = false,
    race_detector: bool = false, // ThreadSanitizer

    /// Undefined behaviour ends the program with a message wherever speed is not the point.
    fn sanitize(mode: Mode) std.zig.SanitizeC {
        return if (mode.optimize == .Debug or mode.optimize == .ReleaseSafe) .full else .off;
    }
};

pub fn build(b: *std.Build) void {
    // Zig's own headers and C library of Debian 12's age, for any CPU of the architecture: what is built here runs on its neighbour.
    const target = b.standardTargetOptions(.{ .default_target = .{
        .cpu_model = .baseline,
        .os_tag = .linux,
        .abi = .gnu,
        .glibc_version = .{ .major = 2, .minor = 36, .patch = 0 },
    } });
    const optimize = b.option(std.builtin.OptimizeMode, "optimize", "ReleaseFast (default), or Debug: with UBSan") orelse .ReleaseFast;
    const static = target.result.abi.isMusl();
    const strip = b.option(bool, "strip", "Leave out symbols and debug information (default: in static releases)") orelse
        (static and optimize != .Debug);

    const chosen = Mode{ .target = target, .optimize = optimize, .strip = strip };
    const debug = Mode{ .target = target, .optimize = .Debug };
    const fast = Mode{ .target = target, .optimize = .ReleaseFast };
    const threads = Mode{ .target = target, .optimize = .ReleaseSafe, .race_detector = true };
    const release = Mode{ .target = musl(b), .optimize = .ReleaseFast, .strip = true };

    const server = ringcast(b, chosen);
    b.installArtifact(server);

    const run = b.addRunArtifact(server);
    run.addArgs(&.{ "serve", "--dev" });
    run.addArgs(b.args orelse &.{});
    run.stdio = .inherit;
    b.step("run", "Start ringcast serve --dev; more arguments after --").dependOn(&run.step);

    const checked = unitTests(b, debug);
    const check = b.step("check", "Compile the server and its unit tests, run nothing");
    check.dependOn(&server.step);
    check.dependOn(&checked.step);

    const tests = python(b, "tests/tools/test.py");
    for ([_]struct { []const u8, *std.Build.Step.Compile }{
        .{ "--unit-ubsan", checked },
        .{ "--unit-release", unitTests(b, fast) },
        .{ "--server-ubsan", ringcast(b, debug) },
        .{ "--server-static", ringcast(b, release) },
        .{ "--server-tsan", ringcast(b, threads) },
    }) |argument| {
        tests.addArg(argument[0]);
        tests.addArtifactArg(argument[1]);
    }
    b.step("test", "Everything that a pull request must pass; words after -- pick tests").dependOn(&tests.step);

    const format = python(b, "tests/tools/format.py");
    format.addArg("--fix");
    const fmt = b.step("fmt", "Format the C and Zig files");
    fmt.dependOn(&format.step);
    fmt.dependOn(&b.addFmt(.{ .paths = &.{ "build.zig", "vendor" } }).step);
    tests.step.dependOn(&b.addFmt(.{ .paths = &.{ "build.zig", "vendor" }, .check = true }).step);

    const safe = Mode{ .target = target, .optimize = .ReleaseSafe };
    const stage = simulated(b, safe);
    const sim = simulator(b, safe, stage, null);
    check.dependOn(&sim.step);
    tests.addArg("--sim");
    tests.addArtifactArg(sim);
    tests.addArg("--sim-debug");
    tests.addArtifactArg(simulator(b, debug, simulated(b, debug), null));
    const simulate = python(b, "tests/sim/run.py");
    simulate.addArg("--sim");
    simulate.addArtifactArg(sim);
    const words = b.args orelse &.{};
    const bites = words.len > 0 and std.mem.eql(u8, words[0], "mutations");
    const mutations = entries(b, "tests/sim/mutations", .file, ".txt");
    // All of them take minutes: tests have three a day, one after the other.
    const today: usize = @intCast(@divFloor(std.time.timestamp(), 24 * 60 * 60));
    for (mutations, 0..) |name, i| {
        const is_todays = (i + mutations.len - 3 * today % mutations.len) % mutations.len < 3;
        if (!bites and !is_todays) continue;
        const mutant = simulator(b, safe, stage, name);
        if (bites) simulate.addArg("--mutant");
        if (bites) simulate.addArtifactArg(mutant);
        if (is_todays) tests.addArg("--sim-mutant");
        if (is_todays) tests.addArtifactArg(mutant);
    }
    simulate.addArg("--");
    simulate.addArgs(words);
    b.step("sim", "Simulate the hub: many seeds, or the one after --; see tests/sim/README.md").dependOn(&simulate.step);

    const bench = program(b, "ringcast-bench", fast);
    addOurs(b, bench.root_module, "perf/load");
    check.dependOn(&bench.step);

    const fuzz = python(b, "fuzz/run.py");
    fuzz.addArgs(b.args orelse &.{});
    b.step("fuzz", "Fuzz a parser or a connection: the target after --; see fuzz/README.md").dependOn(&fuzz.step);

    const micro = program(b, "ringcast-micro", fast);
    addOurs(b, micro.root_module, "perf/micro");
    addLayers(b, micro.root_module);
    check.dependOn(&micro.step);
    const tools = b.step("micro", "Build ringcast-micro and ringcast-bench into zig-out/bin; see perf/");
    tools.dependOn(&b.addInstallArtifact(micro, .{}).step);
    tools.dependOn(&b.addInstallArtifact(bench, .{}).step);
    tests.addArg("--bench");
    tests.addArtifactArg(bench);
    tests.addArg("--micro");
    tests.addArtifactArg(micro);
    tests.addArg("--");
    tests.addArgs(b.args orelse &.{});

    const measure = python(b, "perf/run.py");
    measure.addArg("--server");
    measure.addArtifactArg(ringcast(b, fast));
    measure.addArg("--bench");
    measure.addArtifactArg(bench);
    measure.addArg("--micro");
    measure.addArtifactArg(micro);
    measure.addArgs(b.args orelse &.{});
    b.step("perf", "Measure: 5,000 clients for 60 s; other loads after --").dependOn(&measure.step);
}

/// The server: src/main.c and every file of the folders beside it.
fn ringcast(b: *std.Build, mode: Mode) *std.Build.Step.Compile {
    const server = program(b, "ringcast", mode);
    addOurs(b, server.root_module, "src");
    addLayers(b, server.root_module);
    return server;
}

/// One program of all unit tests, and of all they test: the server without its main.
fn unitTests(b: *std.Build, mode: Mode) *std.Build.Step.Compile {
    const tests = program(b, "unit", mode);
    tests.lto = .none; // half a minute; the release itself has it, and is tried by tests/tools/static.py
    addOurs(b, tests.root_module, "tests/unit");
    addLayers(b, tests.root_module);
    return tests;
}

/// The hub on a simulated ring and what plays with it (tests/sim), compiled once for all programs of a mode. Its log names no
/// commit, so that a seed's trace depends on nothing else than what the hub does.
fn simulated(b: *std.Build, mode: Mode) *std.Build.Step.Compile {
    const library = b.addLibrary(.{ .name = "simulated", .linkage = .static, .root_module = module(b, mode) });
    for (entries(b, "src", .directory, "")) |layer|
        addFiles(b, library.root_module, .{ .folder = b.fmt("src/{s}", .{layer}), .commit = "simulated" });
    addFiles(b, library.root_module, .{ .folder = "tests/sim", .without = "main.c" });
    return library;
}

/// The simulator, whole or with one mutation in it: of a library's files those are linked that the program has not itself.
fn simulator(b: *std.Build, mode: Mode, stage: *std.Build.Step.Compile, mutation: ?[]const u8) *std.Build.Step.Compile {
    const executable = program(b, if (mutation) |file| b.fmt("sim-{s}", .{std.fs.path.stem(file)}) else "sim", mode);
    const flags = flagsOf(b, mode.optimize, "simulated");
    // First, so that what asks for its functions finds them here.
    if (mutation) |file| executable.root_module.addCSourceFile(.{
        .file = mutatedSource(b, b.fmt("tests/sim/mutations/{s}", .{file})),
        .flags = flags,
    });
    executable.root_module.addCSourceFile(.{ .file = b.path("tests/sim/main.c"), .flags = flags });
    executable.root_module.linkLibrary(stage);
    return executable;
}

/// The file that a mutation is about: its first line says `file: PATH`.
fn mutatedFile(b: *std.Build, path: []const u8) []const u8 {
    const text = b.build_root.handle.readFileAlloc(b.allocator, path, 64 * 1024) catch |err|
        std.process.fatal("{s} cannot be read: {t}", .{ path, err });
    const line = text[0 .. std.mem.indexOfScalar(u8, text, '\n') orelse text.len];
    if (!std.mem.startsWith(u8, line, "file: ")) std.process.fatal("{s} does not begin with its file", .{path});
    return line["file: ".len..];
}

/// That file with the mutation made.
fn mutatedSource(b: *std.Build, path: []const u8) std.Build.LazyPath {
    const mutate = b.addSystemCommand(&.{"python3"});
    mutate.addFileArg(b.path("tests/sim/mutate.py"));
    mutate.addFileArg(b.path(path));
    mutate.addFileArg(b.path(mutatedFile(b, path)));
    return mutate.addOutputFileArg("mutant.c");
}

/// An empty program with the libraries linked; what it does not use is left out.
fn program(b: *std.Build, name: []const u8, mode: Mode) *std.Build.Step.Compile {
    const executable = b.addExecutable(.{ .name = name, .root_module = module(b, mode) });
    for (libraries) |library| executable.root_module.linkLibrary(staticLibrary(b, library, mode.target));
    // Whole-program: sending a frame crosses four of our files, and each call would cost as much as the work.
    if (mode.optimize == .ReleaseFast) executable.lto = .full;
    return executable;
}

/// No files yet, and what they may include.
fn module(b: *std.Build, mode: Mode) *std.Build.Module {
    const made = b.createModule(.{
        .target = mode.target,
        .optimize = mode.optimize,
        .strip = mode.strip,
        .sanitize_c = mode.sanitize(),
        .sanitize_thread = mode.race_detector,
        .omit_frame_pointer = false, // profilers want it, and it costs next to nothing
        .link_libc = true,
    });
    for (libraries) |library| {
        made.addSystemIncludePath(source(b, library).path(b, library.include));
        if (library.generated) |folder| made.addSystemIncludePath(b.path(folder));
    }
    return made;
}

fn staticLibrary(b: *std.Build, library: Library, target: std.Build.ResolvedTarget) *std.Build.Step.Compile {
    const made = b.createModule(.{
        .target = target,
        .optimize = .ReleaseFast,
        .strip = false, // the program decides
        .sanitize_c = .off, // not our code
        .omit_frame_pointer = false,
        .link_libc = true,
    });
    const flags = std.mem.concat(b.allocator, []const u8, &.{ library.flags, &.{ "-std=gnu11", "-w" } }) catch @panic("OOM");
    made.addCSourceFiles(.{ .root = source(b, library), .files = library.files, .flags = flags });
    made.addIncludePath(source(b, library).path(b, library.include));
    if (library.private) |folder| made.addIncludePath(source(b, library).path(b, folder));
    if (library.generated) |folder| made.addIncludePath(b.path(folder));
    return b.addLibrary(.{ .name = library.name, .linkage = .static, .root_module = made });
}

fn source(b: *std.Build, library: Library) std.Build.LazyPath {
    return b.path(b.fmt(".tools/src/{s}-{s}", .{ library.name, library.version }));
}

fn addLayers(b: *std.Build, to: *std.Build.Module) void {
    for (entries(b, "src", .directory, "")) |layer| addOurs(b, to, b.fmt("src/{s}", .{layer}));
}

/// Adds every C file of a folder, so that a new file needs no line here.
fn addOurs(b: *std.Build, to: *std.Build.Module, folder: []const u8) void {
    addFiles(b, to, .{ .folder = folder });
}

const Files = struct {
    folder: []const u8,
    commit: ?[]const u8 = null, // what is said to be built, in place of the truth
    without: []const u8 = "", // a file that is left out
};

fn addFiles(b: *std.Build, to: *std.Build.Module, files: Files) void {
    // Only who prints it is compiled again for a new commit.
    const prints = std.mem.eql(u8, files.folder, "src") or std.mem.eql(u8, files.folder, "src/hub");
    var names = std.array_list.Managed([]const u8).init(b.allocator);
    for (entries(b, files.folder, .file, ".c")) |name|
        if (!std.mem.eql(u8, name, files.without)) names.append(name) catch @panic("OOM");
    to.addCSourceFiles(.{
        .root = b.path(files.folder),
        .files = names.items,
        .flags = flagsOf(b, to.optimize, if (prints) files.commit orelse commit(b) else null),
    });
}

/// How our own files are compiled; `built` is the commit that they may tell of, where they may.
fn flagsOf(b: *std.Build, optimize: ?std.builtin.OptimizeMode, built: ?[]const u8) []const []const u8 {
    var flags = std.array_list.Managed([]const u8).init(b.allocator);
    flags.appendSlice(&.{
        "-std=c23",
        "-D_GNU_SOURCE",
        "-UNDEBUG", // asserts stay on in releases
        "-ffp-contract=off", // games compute the same everywhere
        b.fmt("-iquote{s}", .{b.pathFromRoot("src")}), // not -I: <limits.h> is the system's, "limits.h" is ours
        b.fmt("-iquote{s}", .{b.pathFromRoot("tests")}),
        b.fmt("-ffile-prefix-map={s}/=", .{b.pathFromRoot(".")}), // the same binary from any folder
        "-DRINGCAST_VERSION=\"" ++ version ++ "\"",
    }) catch @panic("OOM");
    flags.appendSlice(&warnings) catch @panic("OOM");
    if (optimize == .Debug) flags.append("-Og") catch @panic("OOM"); // with UBSan in it, -O0 is five times slower
    if (built) |words| flags.append(b.fmt("-DRINGCAST_COMMIT=\"{s}\"", .{words})) catch @panic("OOM");
    return flags.items;
}

/// The names in a folder that end in `ending`, sorted.
fn entries(b: *std.Build, folder: []const u8, kind: std.fs.File.Kind, ending: []const u8) []const []const u8 {
    var names = std.array_list.Managed([]const u8).init(b.allocator);
    var dir = b.build_root.handle.openDir(folder, .{ .iterate = true }) catch |err|
        std.process.fatal("{s} cannot be read: {t}", .{ folder, err });
    defer dir.close();
    var iterator = dir.iterate();
    while (iterator.next() catch |err| std.process.fatal("{s} cannot be read: {t}", .{ folder, err })) |entry| {
        if (entry.kind == kind and std.mem.endsWith(u8, entry.name, ending))
            names.append(b.dupe(entry.name)) catch @panic("OOM");
    }
    std.mem.sort([]const u8, names.items, {}, struct {
        fn before(_: void, a: []const u8, c: []const u8) bool {
            return std.mem.lessThan(u8, a, c);
        }
    }.before);
    return names.items;
}

/// The commit that is built, or "unknown" where there is no git or no repository.
fn commit(b: *std.Build) []const u8 {
    var code: u8 = undefined;
    const answer = b.runAllowFail(
        &.{ "git", "-C", b.pathFromRoot("."), "rev-parse", "--short=12", "HEAD" },
        &code,
        .Ignore,
    ) catch return "unknown";
    return std.mem.trim(u8, answer, " \n");
}

fn musl(b: *std.Build) std.Build.ResolvedTarget {
    return b.resolveTargetQuery(.{ .cpu_model = .baseline, .os_tag = .linux, .abi = .musl });
}

/// A step that runs one of our Python programs with this terminal, whenever it is asked for.
fn python(b: *std.Build, path: []const u8) *std.Build.Step.Run {
    const run = b.addSystemCommand(&.{ "python3", path });
    run.setCwd(b.path("."));
    run.stdio = .inherit;
    run.has_side_effects = true;
    return run;
}
