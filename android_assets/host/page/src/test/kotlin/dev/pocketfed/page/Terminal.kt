package dev.pocketfed.page

import java.io.File
import java.net.ServerSocket
import java.util.concurrent.TimeUnit

private const val PATIENCE_S = 300L

/**
 * A terminal in [folder], where `python` and `pocketfed` are those of the interpreter [python]. The
 * environment gives a server its port, and the commands that ask it the address.
 */
internal class Terminal(private val folder: File, private val python: String, private val root: File) : AutoCloseable {
    private val port = ServerSocket(0).use { it.localPort }
    private val bin = folder.resolve("bin").apply { mkdir() }
    private var server: Process? = null
    val address = "http://127.0.0.1:$port"

    /** What the server says beside its address. */
    val log = folder.resolve("server.log")

    init {
        command("python", "")
        command("pocketfed", "-m pocketfed.cli")
    }

    private fun command(name: String, flags: String) = bin.resolve(name).run {
        writeText("#!/bin/sh\nexec '$python' $flags \"$@\"\n")
        setExecutable(true)
    }

    /** What [script] says; fails with that when one of its commands fails. */
    fun run(script: String): String {
        val output = File.createTempFile("terminal", ".log")
        val process = shell(script).redirectErrorStream(true).redirectOutput(output).start()
        val hasEnded = process.waitFor(PATIENCE_S, TimeUnit.SECONDS)
        if (!hasEnded) process.destroyForcibly()
        val said = output.readText().also { output.delete() }
        check(hasEnded && process.exitValue() == 0) { "failed:\n$script\n$said" }
        return said
    }

    /** Starts the server by [script], and returns once it says where it is. */
    fun serve(script: String) {
        val process = shell("exec $script").redirectError(log).start().also { server = it }
        val line = process.inputStream.bufferedReader().readLine()
        check(line == "pocketfed server at $address") { "got $line, expected the server's address\n${log.readText()}" }
    }

    private fun shell(script: String): ProcessBuilder {
        val builder = ProcessBuilder("sh", "-e", "-c", script).directory(folder)
        builder.environment().apply {
            put("PATH", "$bin:${get("PATH")}")
            put("POCKETFED_PORT", "$port")
            put("POCKETFED_SERVER", address)
            put("POCKETFED_TICK_S", "0.1")
            put("POCKETFED_MIN_FREE_BYTES", "0")
            // A checkout named pocketfed is the package itself; otherwise it is the installed one.
            if (root.name == "pocketfed") put("PYTHONPATH", root.parent)
        }
        return builder
    }

    override fun close() {
        server?.destroy()
        server?.waitFor(PATIENCE_S, TimeUnit.SECONDS)
    }
}
