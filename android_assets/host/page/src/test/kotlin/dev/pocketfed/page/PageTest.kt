package dev.pocketfed.page

import java.io.File
import java.util.Random
import java.util.concurrent.TimeUnit
import org.example.app.MyApp
import org.example.app.keep
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

private const val EXAMPLES = 25
private const val PATIENCE_S = 120L

/** Whoever does what docs/android.md says has a phone learn with others. */
@RunWith(RobolectricTestRunner::class)
class PageTest {
    @get:Rule
    val folder = TemporaryFolder()

    private val root = File(System.getProperty("pocketfed.root")!!).canonicalFile
    private val python = System.getenv("POCKETFED_PYTHON") ?: root.resolve(".venv/bin/python").path
    private val page = Page(root.resolve("docs/android.md"))
    private lateinit var terminal: Terminal

    @Before
    fun open() {
        val isThere = File(python).canExecute()
        check(isThere || System.getenv("POCKETFED_REQUIRE_ALL") == null) { "there is no $python; run make test" }
        assumeTrue("there is no $python", isThere)
        // Where HostRuntime looks for its library, and the page's app for its server.
        System.setProperty("POCKETFED_PYTHON", python)
        terminal = Terminal(folder.root, python, root)
        System.setProperty("pocketfed.page.server", terminal.address)
    }

    @After
    fun close() {
        if (::terminal.isInitialized) terminal.close()
    }

    @Test
    fun `a phone whose owner follows the page commits a round`() {
        val (export, serve, operate) = page.commands
        folder.newFile("my_model.py").writeText(page.file("python", "my_model.py"))
        terminal.run(export)
        terminal.serve(serve)
        assertEquals(0, committed(terminal.run(operate)))

        val app = MyApp()
        val installed = Installed(app, folder.root.resolve("app/src/main/assets"))
        draw(app)
        installed.atNight()
        awaited("visit ended") { installed.hasVisited() }
        assertEquals("the files that it downloaded", 0, downloaded(app))

        val asking = operate.lines().filterNot { "task create" in it }.joinToString("\n")
        lateinit var status: String
        awaited("round was committed") { terminal.run(asking).also { status = it }.let(::committed) > 0 }
        assertTrue(status, "checkpoint 1 is" in status && " $EXAMPLES " in status)
    }

    private fun committed(status: String): Int = status.lines().count { "committed" in it }

    private fun downloaded(app: MyApp): Int =
        app.noBackupFilesDir.resolve("client/shelf").walk().count { it.isFile }

    private fun draw(app: MyApp) {
        val random = Random(3)
        repeat(EXAMPLES) { app.examples.keep(ByteArray(784).also(random::nextBytes), label = random.nextInt(10)) }
    }

    private fun awaited(what: String, isSo: () -> Boolean) {
        val end = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S)
        while (!isSo()) {
            check(System.nanoTime() < end) { "no $what; the server says:\n${terminal.log.readText()}" }
            Thread.sleep(100)
        }
    }
}
