package dev.pocketfed.sample

import android.app.Activity
import android.os.Bundle
import android.text.format.DateUtils
import android.widget.Button
import android.widget.LinearLayout
import android.widget.ScrollView
import android.widget.TextView
import dev.pocketfed.client.training.Example
import dev.pocketfed.client.training.Values

/** One screen: draw a digit, say which it is, and see what the phone does with it. */
class MainActivity : Activity() {
    private val app get() = application as SampleApp
    private val canvas by lazy { DigitCanvas(this) }
    private val state by lazy { TextView(this) }

    override fun onCreate(saved: Bundle?) {
        super.onCreate(saved)
        val column = LinearLayout(this).apply { orientation = LinearLayout.VERTICAL }
        val labels = LinearLayout(this)
        (0..LAST_DIGIT).forEach { labels.addView(labelled(it), LinearLayout.LayoutParams(0, WRAP, 1f)) }
        val note = TextView(this).apply { text = PRIVACY }
        listOf(canvas, labels, state, note).forEach(column::addView)
        setContentView(ScrollView(this).apply { addView(column) })
    }

    override fun onResume() {
        super.onResume()
        show()
    }

    private fun labelled(digit: Int) = Button(this).apply {
        text = digit.toString()
        setOnClickListener { keep(digit) }
    }

    private fun keep(digit: Int) {
        val drawn = Values.Bytes(canvas.pixels())
        app.digits.append(Example(mapOf("x" to drawn, "y" to Values.Ints(intArrayOf(digit)))))
        canvas.clear()
        show()
    }

    private fun show() {
        state.text = listOf(
            "Population: ${SampleApp.POPULATION}",
            "Digits on this phone: ${app.digits.count}",
            "Last visit: ${app.lastVisit ?: "none yet"}",
            "Next visit: not before ${DateUtils.formatDateTime(this, app.nextVisitMs, DATE_AND_TIME)}",
        ).joinToString("\n")
    }

    private companion object {
        const val LAST_DIGIT = 9
        const val WRAP = LinearLayout.LayoutParams.WRAP_CONTENT
        const val DATE_AND_TIME = DateUtils.FORMAT_SHOW_DATE or DateUtils.FORMAT_SHOW_TIME
        const val PRIVACY = "Your drawings stay on this phone. While it charges, idle and on Wi-Fi, it learns " +
            "from them and sends the server how the model changed, and how many drawings that took."
    }
}
