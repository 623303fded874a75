package dev.pocketfed.host

import dev.pocketfed.client.artifact.Artifact
import dev.pocketfed.client.artifact.Folder
import dev.pocketfed.client.wire.Digest
import java.io.File
import java.util.concurrent.TimeUnit
import org.junit.jupiter.api.Assumptions

/** The Python that has pocketfed: that of POCKETFED_PYTHON, else the one `make` sets up. */
internal object Python {
    private const val PATIENCE_S = 300L
    private val root = File(System.getProperty("pocketfed.root")).canonicalFile
    private val scripts = root.resolve("android_assets/host/phone/src/test/python")
    val path = System.getenv("POCKETFED_PYTHON") ?: root.resolve(".venv/bin/python").path

    /** A Python at work, whose words go into [log]. */
    class Run(private val words: List<String>, private val process: Process, private val log: File) {
        /** Waits for its end, and fails with what it said when it fails. */
        fun end() {
            val hasEnded = process.waitFor(PATIENCE_S, TimeUnit.SECONDS)
            if (!hasEnded) process.destroyForcibly()
            check(hasEnded && process.exitValue() == 0) { "$words failed:\n${log.readText()}" }
            log.delete()
        }
    }

    fun start(words: List<String>): Run {
        val log = File.createTempFile("python", ".log")
        val builder = ProcessBuilder(listOf(path) + words)
        // A checkout named pocketfed is the package itself; otherwise it is the installed one.
        if (root.name == "pocketfed") builder.environment()["PYTHONPATH"] = root.parent
        return Run(words, builder.redirectErrorStream(true).redirectOutput(log).start(), log)
    }

    /** Runs one of the scripts beside these tests to its end. */
    fun run(script: String, vararg arguments: String): Unit = start(listOf(scripts.resolve(script).path, *arguments)).end()

    /** Skips the test where there is no such Python, unless POCKETFED_REQUIRE_ALL is set. */
    fun assumeIsThere() {
        val isThere = File(path).canExecute()
        if (System.getenv("POCKETFED_REQUIRE_ALL") != null) check(isThere) { "there is no $path; run make test" }
        Assumptions.assumeTrue(isThere, "there is no $path")
        if (System.getenv("POCKETFED_PYTHON") == null) System.setProperty("POCKETFED_PYTHON", path)
    }

    private val exported: File by lazy {
        val digest = Digest.sha256(scripts.resolve("export_models.py").readBytes()).take(12)
        val folder = root.resolve("build/android/$digest")
        if (!folder.isDirectory) {
            val temporary = File(folder.path + ".new").apply { deleteRecursively() }
            run("export_models.py", temporary.path)
            check(temporary.renameTo(folder)) { "cannot rename $temporary" }
        }
        folder
    }

    /** The folder of a model of `export_models.py`, exported when there is none. */
    fun folderOf(name: String): File {
        assumeIsThere()
        return exported.resolve(name)
    }

    fun artifact(name: String): Artifact = Artifact.read(Folder(folderOf(name)))
}
