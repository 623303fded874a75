package dev.pocketfed.page

import java.io.File

/** A page in Markdown; its code is in blocks that name their language. */
internal class Page(file: File) {
    private class Block(val language: String, val text: String)

    private val blocks = BLOCK.findAll(file.readText()).map { Block(it.groupValues[1], it.groupValues[2]) }.toList()

    /** The shell blocks, in their order. */
    val commands: List<String> get() = blocks.filter { it.language == "sh" }.map { it.text }

    /** The block in [language] that begins with a comment of this [name]. */
    fun file(language: String, name: String): String =
        blocks.single { it.language == language && it.text.lineSequence().first() == "# $name" }.text

    private companion object {
        val BLOCK = Regex("^```(\\w+)\n(.*?)^```$", setOf(RegexOption.MULTILINE, RegexOption.DOT_MATCHES_ALL))
    }
}
