import com.android.tools.r8.CompilationMode
import com.android.tools.r8.Diagnostic
import com.android.tools.r8.DiagnosticsHandler
import com.android.tools.r8.JdkClassFileProvider
import com.android.tools.r8.OutputMode
import com.android.tools.r8.R8
import com.android.tools.r8.R8Command
import com.android.tools.r8.StringConsumer
import com.android.tools.r8.origin.Origin
import java.io.File
import java.nio.file.Path
import java.util.zip.ZipEntry
import java.util.zip.ZipFile
import java.util.zip.ZipOutputStream
import javax.xml.parsers.DocumentBuilderFactory
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeAll
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestInstance
import org.junit.jupiter.api.io.TempDir
import org.w3c.dom.Element

/** The sample app as R8 leaves it: a release build, for the oldest Android that the library serves. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ShrinkingTest {
    private val root = File(property("pocketfed.root"), "android_assets")
    private val minSdk = property("pocketfed.min.sdk").toInt()
    private val said = mutableListOf<String>()
    private val mapping = StringBuilder()
    private lateinit var dex: File

    /** What is left, by its name in the source; to its name in the app. */
    private val kept: Map<String, String> by lazy {
        mapping.lines().filter { " -> " in it && !it.startsWith(" ") && !it.startsWith("#") }
            .associate { it.substringBefore(" -> ") to it.substringAfter(" -> ").trimEnd(':') }
    }

    @BeforeAll
    fun shrink(@TempDir folder: Path) {
        dex = folder.resolve("app.zip").toFile()
        R8.run(command(folder, dex.toPath()))
        assertTrue(dex.isFile)
    }

    private fun command(folder: Path, out: Path): R8Command = R8Command.builder(Ears(said))
        .addProgramFiles(program().map { if (it.isDirectory) zipped(it, folder) else it.toPath() })
        .addLibraryResourceProvider(JdkClassFileProvider.fromSystemJdk())
        .addLibraryFiles(Path.of(android.app.Activity::class.java.protectionDomain.codeSource.location.toURI()))
        .addProguardConfigurationFiles(rules().map(File::toPath))
        .addProguardConfiguration(embeddedRules() + OKHTTP + PLUGIN + RESOURCES, Origin.unknown())
        .addProguardConfiguration(components().map { "-keep class $it { <init>(); }" }, Origin.unknown())
        .setMinApiLevel(minSdk)
        .setMode(CompilationMode.RELEASE)
        .setProguardMapConsumer(StringConsumer { text, _ -> mapping.append(text) })
        .setOutput(out, OutputMode.DexIndexed, false)
        .build()

    private fun program(): List<File> {
        val libraries = File(property("pocketfed.sample.classpath")).readText().trim()
        return (libraries.split(File.pathSeparator) + property("pocketfed.sample.classes")).map(::File)
    }

    /** What the app is made of besides jars; not what tests alone use. */
    private fun archives(): List<File> =
        File(property("pocketfed.aars")).listFiles().orEmpty().filterNot { it.name.contains("test") }

    /** The library's own rules, and those in the archives of what it uses. */
    private fun rules(): List<File> = archives().map { File(it, "proguard.txt") }.filter { it.isFile } +
        File(root, "library/consumer-rules.pro")

    /** The rules inside the jars, which the Android plugin reads: those for any shrinker, and those for R8. */
    private fun embeddedRules(): List<String> = program().filter { it.isFile }.flatMap { jar ->
        ZipFile(jar).use { zip ->
            zip.entries().asSequence().filter { !it.isDirectory && EMBEDDED.containsMatchIn(it.name) }
                .flatMap { zip.getInputStream(it).reader().readLines() }.toList()
        }
    }

    /** What the manifests of app and archives name, which the resource compiler keeps in a Gradle build. */
    private fun components(): List<String> =
        (archives().map { File(it, MANIFEST) } + File(root, "sample/src/main/$MANIFEST")).flatMap(::named)

    private fun named(file: File): List<String> {
        val manifest = DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(file)
        return listOf("application", "activity", "service", "receiver", "provider").flatMap { tag ->
            val found = manifest.getElementsByTagName(tag)
            (0 until found.length).map { (found.item(it) as Element).getAttribute("android:name") }
        }.filter { it.isNotEmpty() }
    }

    @Test
    fun `nothing is missing, and R8 has nothing to warn of`() {
        assertEquals(emptyList<String>(), said)
    }

    @Test
    fun `what Android and WorkManager make by name keeps its name`() {
        for (name in components() + "dev.pocketfed.sample.DigitsWorker") assertEquals(name, kept[name])
    }

    @Test
    fun `what the native runtime looks up keeps its name`() {
        val interpreter = "org.tensorflow.lite.NativeInterpreterWrapper"
        assertEquals(interpreter, kept[interpreter])
    }

    @Test
    fun `messages travel under the names of the protocol`() {
        val code = ZipFile(dex).use { zip -> zip.getInputStream(zip.getEntry("classes.dex")).readBytes() }
        val text = String(code, Charsets.ISO_8859_1)
        for (name in listOf("examples_bucket", "learning_rate", "upload_within_s", "num_examples")) {
            assertTrue(name in text, "$name is gone")
        }
    }

    @Test
    fun `what no app needs is left out`() {
        assertTrue(kept.keys.none { it.startsWith("androidx.work.testing.") || it.startsWith("androidx.test.") })
    }

    @Test
    fun `the app fits into one dex file`() {
        val files = ZipFile(dex).use { zip -> zip.entries().asSequence().map(ZipEntry::getName).toList() }
        assertEquals(listOf("classes.dex"), files.filter { it.endsWith(".dex") })
    }
}

/** Hears what R8 says: warnings fail the test. */
private class Ears(private val said: MutableList<String>) : DiagnosticsHandler {
    override fun warning(warning: Diagnostic) {
        said += "${warning.origin}: ${warning.diagnosticMessage}"
    }

    override fun info(info: Diagnostic) = Unit
}

// Other TLS libraries that okhttp-jvm knows of; phones have okhttp-android, which Maven cannot choose.
private val OKHTTP = listOf("-dontwarn org.bouncycastle.jsse.**", "-dontwarn org.conscrypt.**", "-dontwarn org.openjsse.**")

// Of the Android plugin's default rules, what native code rests on.
private val PLUGIN = listOf("-keepclasseswithmembernames,includedescriptorclasses class * { native <methods>; }")

// What the resource compiler makes.
private val RESOURCES = listOf("-dontwarn **.R\$*")

private const val MANIFEST = "AndroidManifest.xml"
private val EMBEDDED = Regex("^META-INF/(proguard|com\\.android\\.tools/r8)/")

private fun property(name: String): String = checkNotNull(System.getProperty(name)) { "no property $name" }

/** The classes of [classes] as an archive, which R8 reads. */
private fun zipped(classes: File, into: Path): Path {
    val module = classes.parentFile.parentFile.name
    val archive = into.resolve("$module.jar")
    ZipOutputStream(archive.toFile().outputStream()).use { zip ->
        classes.walk().filter { it.isFile }.forEach {
            zip.putNextEntry(ZipEntry(it.relativeTo(classes).invariantSeparatorsPath))
            it.inputStream().use { body -> body.copyTo(zip) }
            zip.closeEntry()
        }
    }
    return archive
}
